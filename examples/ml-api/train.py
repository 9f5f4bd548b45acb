"""Trains the network on points drawn from a seed, and writes its weights."""

import argparse
import sys

import torch

from model import in_ring, network


def sample(count):
    return torch.rand(count, 2) * 2 - 1


def train(net, epochs):
    points = sample(2000)
    labels = in_ring(points)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    loss_of = torch.nn.BCELoss()
    for _ in range(epochs):
        optimizer.zero_grad()
        loss_of(net(points), labels).backward()
        optimizer.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--accuracy", type=float, default=0.95)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()

    # One seed and one thread: the same weights in every run.
    torch.manual_seed(7)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    net = network()
    train(net, args.epochs)

    points = sample(2000)
    with torch.no_grad():
        accuracy = ((net(points) > 0.5).float() == in_ring(points)).float().mean().item()
    print(f"accuracy {accuracy:.3f}")
    if accuracy < args.accuracy:
        sys.exit(f"accuracy is below {args.accuracy}")
    torch.save(net.state_dict(), args.output)


main()

"""The network: does a point of the plane lie in the ring between two circles?"""

import torch

INNER, OUTER = 0.35, 0.8


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(2, 32), torch.nn.Tanh(),
        torch.nn.Linear(32, 16), torch.nn.Tanh(),
        torch.nn.Linear(16, 1), torch.nn.Sigmoid())


def in_ring(points):
    """What the network is to learn: 1 in the ring, 0 elsewhere."""
    radius = points.norm(dim=1, keepdim=True)
    return ((radius > INNER) & (radius < OUTER)).float()

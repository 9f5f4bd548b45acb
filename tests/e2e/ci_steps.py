#!/usr/bin/env python3
"""ci_steps.py FILE JOB DIR: the shell steps of a job of a CI file, as DIR/1.sh, 2.sh, ...

FILE is one of examples/ci; JOB is a job (GitHub, GitLab), a Task's name (Tekton) or the names of
stages with commas between (Jenkins). What a CI system would put into the text of a step, where a
value could be taken for code, is an error.
"""
import pathlib
import re
import sys

import yaml


def flat(items):
    for item in items:
        if isinstance(item, list):
            yield from flat(item)
        else:
            yield item


def github(text, job):
    steps = [s["run"] for s in yaml.safe_load(text)["jobs"][job]["steps"] if "run" in s]
    return steps, r"\$\{\{"


def gitlab(text, job):
    return ["\n".join(flat(yaml.safe_load(text)[job]["script"]))], r"\$\[\["


def tekton(text, task):
    for doc in yaml.safe_load_all(text):
        if doc["kind"] == "Task" and doc["metadata"]["name"] == task:
            return [s["script"] for s in doc["spec"]["steps"]], r"\$\((params|context|tasks)\."
    raise KeyError(task)


def jenkins(text, stages):
    steps = []
    for name in stages.split(","):
        found = re.search(r"stage\('%s'\) \{.*?sh '''(.*?)'''" % re.escape(name), text, re.S)
        # Groovy reads a backslash in such a text as its shell does.
        steps.append(found.group(1).replace("\\\\", "\\"))
    return steps, None


def main():
    path, job, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    read = {"github-actions.yml": github, "gitlab-ci.yml": gitlab, "tekton.yaml": tekton,
            "Jenkinsfile": jenkins}[path.name]
    steps, foreign = read(path.read_text(), job)
    out.mkdir(parents=True)
    for number, step in enumerate(steps, 1):
        if foreign and re.search(foreign, step):
            sys.exit(f"{path.name}: {job}: a value is put into the text of a step:\n{step}")
        (out / f"{number}.sh").write_text(step + "\n")


main()

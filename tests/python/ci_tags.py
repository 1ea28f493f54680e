"""Reads environments, one JSON object a line, and writes the tags that dd-trace-py makes of each, without asking git."""

import json
import os
import sys

from ddtrace.testing.internal import ci
from ddtrace.testing.internal import git
from ddtrace.testing.internal.env_tags import get_custom_dd_tags
from ddtrace.testing.internal.env_tags import merge_tags
from ddtrace.testing.internal.env_tags import normalize_git_tags


def tags(environment):
    found = {}
    merge_tags(
        found,
        ci.get_ci_tags(environment),
        git.get_git_tags_from_dd_variables(environment),
        get_custom_dd_tags(environment),
    )
    normalize_git_tags(found)
    if workspace := found.get("ci.workspace_path"):
        found["ci.workspace_path"] = os.path.expanduser(workspace)
    if job := environment.get("JOB_ID"):
        found["ci.job.id"] = job
    return {key: value for key, value in found.items() if value}


for line in sys.stdin:
    environment = json.loads(line)
    # The reference looks up `~` in its own environment.
    os.environ["HOME"] = environment.get("HOME", "/nowhere")
    print(json.dumps(tags(environment)), flush=True)

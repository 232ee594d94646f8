"""Which judge the settings ask for."""

from __future__ import annotations

from worker.config import Settings
from worker.judge.folder import find_model, model_name
from worker.judge.judge import RsafeJudge
from worker.judge.judgement import Judge
from worker.judge.scripted import ScriptedJudge
from worker.judge.template import load_template
from worker.judge.tokens import Tokens


def build_judge(settings: Settings) -> Judge:
    """Build the judge; nothing is loaded yet, and no engine is imported.

    Raises:
        ModelError: there is no model to serve.

    """
    return ScriptedJudge() if settings.engine == "scripted" else RsafeJudge(settings)


def describe_model(settings: Settings) -> str:
    """Look at the model without an engine, and say in words what it is.

    Raises:
        ModelError: there is none, or it cannot be served.

    """
    folder = find_model(settings)
    template = load_template(folder)
    labels = Tokens(folder, template).describe_labels()
    return f"{model_name(folder)} at {folder}: template {template.name}; {labels}"

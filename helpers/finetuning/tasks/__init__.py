"""The fine-tuning tasks, by the name of the models tuned on them.

A task of your own is one class: ``TASKS["POS"] = Tagging()`` is all that training, prediction, the layer
ablations and the analyses need to know of it.
"""

from helpers.finetuning.tasks.answers import Answers
from helpers.finetuning.tasks.base import TaskDefinition
from helpers.finetuning.tasks.inference import Inference
from helpers.finetuning.tasks.parsing import Parsing
from helpers.validation import unknown

TASKS: dict[str, TaskDefinition] = {task.name: task for task in (Parsing(), Inference(), Answers())}


def get(model: str) -> TaskDefinition:
    """The task of a model. Raises ValueError for an unknown name, listing the valid ones."""
    if model not in TASKS:
        raise ValueError(unknown("model", model, TASKS))
    return TASKS[model]

"""The tasks by name: what a manifest, a split and a recipe call them."""

from edge.tasks.classify import CLASSIFY
from edge.tasks.detect import DETECT
from edge.tasks.segment import SEGMENT
from edge.tasks.task import Tasks

TASKS: Tasks = {task.name: task for task in (CLASSIFY, SEGMENT, DETECT)}

# What type checkers and editors see of the names that ``__init__.py`` loads when asked.

from kdcheck import errors as errors
from kdcheck import information as information
from kdcheck import metrics as metrics
from kdcheck import objectives as objectives
from kdcheck import paper as paper
from kdcheck import report as report
from kdcheck import testing as testing
from kdcheck import theory as theory
from kdcheck import verdict as verdict
from kdcheck.claims import Arm as Arm
from kdcheck.claims import Paper as Paper
from kdcheck.claims import claim as claim
from kdcheck.claims import nats as nats
from kdcheck.claims import plain as plain
from kdcheck.claims import points as points
from kdcheck.conform.loss import check_objective as check_objective
from kdcheck.conform.trainer import check_trainer as check_trainer
from kdcheck.encoders import load_encoder as load_encoder
from kdcheck.engine.inputs import prepare as prepare
from kdcheck.engine.loop import train as train
from kdcheck.recipe import Recipe as Recipe
from kdcheck.tasks import load_task as load_task

__version__: str

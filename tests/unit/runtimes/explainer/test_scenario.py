"""Another today, computed from a request, is what the features of another bar are."""

import pathlib
import sys

import numpy as np
import pandas as pd
import pytest

sys.path.append(str(pathlib.Path(__file__).parents[2] / "models"))

import conftest as market_conftest

from models import features
from models.steps.explanations import build
from runtimes.explainer import bundle, scenario
from runtimes.predictor import artifact

NAMES = [column.name for column in features.FEATURES]

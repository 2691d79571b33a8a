"""A room for what is run, each with the name of its stage; parts/ for what is imported."""

import warnings

from stages.parts import machine, shell

shell.settle()
machine.pin()
# mmcv-lite says at its import that it lacks the compiled operations; none of them is used here.
warnings.filterwarnings("ignore", message="Fail to import ``MultiScaleDeformableAttention``")

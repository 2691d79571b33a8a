"""What the published methods of self-training do one way or the other; stages/train/presets.py says which does what.

Types alone, for the schema of params.yaml reads them too, and that costs no import of torch.
"""

from typing import Literal

NoDecay = Literal["vectors", "layer_norm"]  # what AdamW does not decay
EmaAt = Literal["start", "end"]  # of an iteration: when the teacher follows the student
TeacherNorm = Literal["batch", "running"]  # what the teacher's batch norm goes by
Per = Literal["batch", "image"]  # what a share or a choice is of

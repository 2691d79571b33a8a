"""The networks of the further lines by name, where nobody has to load torch to read of them."""

from stages.parts.segmenter.names import NETWORKS

SMALL_UNET = "unet-3"
DEEPLABS = {"deeplabv3-r50": 50, "deeplabv3-r101": 101}  # depth of the ResNet
FURTHER = (*NETWORKS, SMALL_UNET, *DEEPLABS)

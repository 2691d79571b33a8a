"""The networks and encoder sizes that there are, where nobody has to load torch to read of them."""

# Of MiT: channels of the first stage, layers of each (Xie et al. 2021, table 6).
MIT_SIZES: dict[str, tuple[int, list[int]]] = {
    "b0": (32, [2, 2, 2, 2]),
    "b1": (64, [2, 2, 2, 2]),
    "b2": (64, [3, 4, 6, 3]),
    "b3": (64, [3, 4, 18, 3]),
    "b4": (64, [3, 8, 27, 3]),
    "b5": (64, [3, 6, 40, 3]),
}
NETWORKS = ("unet", *(f"{head}-{size}" for head in ("segformer", "daformer") for size in MIT_SIZES))

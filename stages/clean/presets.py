"""The cleaner's settings by name: limits of rules; a rule without one is off."""

# The published script's values, and what we recommend: of each score that tells good masks from bad ones, the highest
# limit at which half of what it alone rejects on held-out pages is bad, rounded down (tests/benchmarks/cleaning.py). A
# limit that is stricter costs more good cutouts than bad ones, and whole kinds of a class that are hard to cut out.
# LOG.md has the measurements, and what each published rule does on real shapes.
PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "ucg": {"max_area": 0.40, "max_lower_half": 0.85, "min_smoothness": 1.0, "max_energy": 50.0},
    "strict": {
        "max_area": 0.40, "max_energy": 50.0, "min_area": 0.03, "min_predicted_iou": 0.82, "min_stability": 0.64,
        "min_agreement": 0.48, "min_class_score": 0.5,
    },
}  # fmt: skip

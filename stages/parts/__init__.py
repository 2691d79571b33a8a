"""Parts: what is imported and never run. A part imports parts, those below it in this list alone:

errors, machine, shell, store, datasets, sections, command, preset, world, masks, prompts, recording, pretrained,
segmenter, measure, pasting, learning, drawing, discovery, engine.
"""

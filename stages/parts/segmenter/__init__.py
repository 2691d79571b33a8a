"""The segmenters: mmsegmentation networks by name, and their files (safetensors: nothing is unpickled)."""

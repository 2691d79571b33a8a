"""The small world's object-centred dataset, as Pascal VOC is one."""

"""cutouts: kept samples -> the bank of class cutouts that one training recipe pastes."""

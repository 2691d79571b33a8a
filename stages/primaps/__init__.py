"""PriMaPs-EM: unsupervised segmentation by principal mask proposals (Hahn et al., TMLR 2024)."""

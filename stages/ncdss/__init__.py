"""Novel class discovery in semantic segmentation: NCDSS with EUMS, and generated cutouts as the discoverer's prior."""

"""Label spaces, what the ids of published datasets mean, folders of images and labels, UCG's folders of cutouts."""

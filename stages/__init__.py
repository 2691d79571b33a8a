"""One room per stage of the pipeline; the files beside them are shared by all rooms."""

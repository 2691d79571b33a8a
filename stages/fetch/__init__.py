"""fetch: the published cutouts, verified. The only stage that uses the network, and only when it is asked to."""

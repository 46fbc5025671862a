"""The verb table and one thin module per verb: the composition roots."""

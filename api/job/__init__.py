"""The whole job, from a table of queries to their answers: what `robatch run` and `robatch.run` do."""

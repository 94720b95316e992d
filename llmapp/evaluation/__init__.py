"""How well an application finds and answers: data sets, measures, comparisons and the gate. Sees the application from outside."""

"""From versioned data to a served model that had to earn it: the commands of `mlstack`, and what they are made of."""

"""What recording costs beside nginx that records nothing; `bench/run` is the way in."""

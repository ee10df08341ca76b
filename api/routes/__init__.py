"""Routes, one file a subject. Each module makes its handlers from a `Service`."""

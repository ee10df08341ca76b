"""The models, one file each: any module here with model classes is found by the registry."""

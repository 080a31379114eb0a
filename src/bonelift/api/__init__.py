"""What ``import bonelift`` gives, one module a subject. Import the names from ``bonelift`` itself: they are promised to
stay; where they lie in here is not."""

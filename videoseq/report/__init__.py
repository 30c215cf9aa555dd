"""What people look at: pictures of timelines, and the report of a training or an evaluation."""

"""What people look at: report.html, its figures, the model card."""

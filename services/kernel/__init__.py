"""What every service stands on. It knows none of them and contains no word of the business."""

"""What a person sees: outlines on the radiograph, 3D views, one self-contained report page. No torch in here."""

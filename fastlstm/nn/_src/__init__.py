"""What the modules of `fastlstm.nn` are made of; to be imported from there."""

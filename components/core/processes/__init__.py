"""Work in processes of its own: "module:function" elsewhere, under Ray, torchrun or alone."""

from jaxface.export.meshes import save as save

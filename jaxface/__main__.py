from jaxface.cli.main import app

app()

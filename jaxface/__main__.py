from jaxface.cli.main import app

app(prog_name="jaxface")

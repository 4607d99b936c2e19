"""`python -m quantbench.worker`: serve units of work until stdin closes."""

from quantbench.child import serve
from quantbench.worker.answer import answer

if __name__ == "__main__":
    serve(answer)

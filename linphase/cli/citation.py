"""What to cite: linphase itself, the paper whose mathematics it computes, and the methods it uses; as BibTeX."""

from dataclasses import dataclass

from linphase import __version__


@dataclass(frozen=True)
class Reference:
    """One entry of BibTeX; only what is certain stands in it."""

    key: str
    kind: str  # of BibTeX: article, inproceedings, misc, software
    use: str  # what in linphase it is cited for
    fields: tuple[tuple[str, str], ...]

    def bibtex(self) -> str:
        """The entry, under a line that says what it is cited for."""
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields]
        return "\n".join([f"% {self.use}", f"@{self.kind}{{{self.key},", *lines, "}"])


SOFTWARE = Reference(
    "linphase",
    "software",
    "linphase itself",
    (
        ("author", "{The linphase developers}"),
        ("title", "linphase: phase diagrams of two-layer linear networks"),
        ("version", __version__),
    ),
)
PAPER = Reference(
    "tu2024mixed",
    "inproceedings",
    "the regimes, the threshold and the self-consistent equation: cite it whenever you use linphase",
    (
        ("author", "Tu, Z. and Aranguri, S. and Jacot, A."),
        ("title", "Mixed Dynamics In Linear Networks: Unifying the Lazy and Active Regimes"),
        ("booktitle", "Advances in Neural Information Processing Systems (NeurIPS)"),
        ("year", "2024"),
        ("eprint", "2405.17580"),
        ("archiveprefix", "arXiv"),
    ),
)
METHODS = (
    Reference(
        "sommeijer1998rkc",
        "article",
        'the integrator of the gradient flow (dynamics.kind = "flow")',
        (
            ("author", "Sommeijer, B. P. and Shampine, L. F. and Verwer, J. G."),
            ("title", "{RKC}: An explicit solver for parabolic {PDEs}"),
            ("journal", "Journal of Computational and Applied Mathematics"),
            ("volume", "88"),
            ("year", "1998"),
        ),
    ),
    Reference(
        "saxe2014exact",
        "inproceedings",
        "the curve of one mode at a small threshold",
        (
            ("author", "Saxe, A. M. and McClelland, J. L. and Ganguli, S."),
            ("title", "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks"),
            ("booktitle", "International Conference on Learning Representations (ICLR)"),
            ("year", "2014"),
            ("eprint", "1312.6120"),
            ("archiveprefix", "arXiv"),
        ),
    ),
    Reference(
        "fukumizu1998effect",
        "inproceedings",
        "the Riccati solution of the self-consistent equation: balanced starts",
        (
            ("author", "Fukumizu, K."),
            ("title", "Effect of batch learning in multilayer neural networks"),
            ("booktitle", "International Conference on Neural Information Processing (ICONIP)"),
            ("year", "1998"),
        ),
    ),
    Reference(
        "braun2022exact",
        "inproceedings",
        "the Riccati solution of the self-consistent equation: balanced starts",
        (
            ("author", "Braun, L. and Domin{\\'e}, C. and Fitzgerald, J. and Saxe, A."),
            ("title", "Exact learning dynamics of deep linear networks with prior knowledge"),
            ("booktitle", "Advances in Neural Information Processing Systems (NeurIPS)"),
            ("year", "2022"),
        ),
    ),
    Reference(
        "domine2024lazy",
        "misc",
        "the Riccati solution of the self-consistent equation: lambda-balanced starts",
        (
            ("author", "Domin{\\'e}, C. and others"),
            ("title", "From Lazy to Rich: Exact Learning Dynamics in Deep Linear Networks"),
            ("year", "2024"),
            ("eprint", "2409.14623"),
            ("archiveprefix", "arXiv"),
        ),
    ),
    Reference(
        "fort2020deep",
        "inproceedings",
        "the kernel distance",
        (
            ("author", "Fort, S. and others"),
            (
                "title",
                "Deep learning versus kernel learning: an empirical study of loss landscape geometry "
                "and the time evolution of the Neural Tangent Kernel",
            ),
            ("booktitle", "Advances in Neural Information Processing Systems (NeurIPS)"),
            ("year", "2020"),
        ),
    ),
    Reference(
        "benaychgeorges2012singular",
        "article",
        "the boundaries at finite d",
        (
            ("author", "Benaych-Georges, F. and Nadakuditi, R. R."),
            (
                "title",
                "The singular values and vectors of low rank perturbations of large rectangular random matrices",
            ),
            ("journal", "Journal of Multivariate Analysis"),
            ("volume", "111"),
            ("year", "2012"),
        ),
    ),
)
REFERENCES = (SOFTWARE, PAPER, *METHODS)


def bibtex() -> str:
    """All references as BibTeX."""
    return "\n\n".join(reference.bibtex() for reference in REFERENCES) + "\n"

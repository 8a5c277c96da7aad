"""EntiGraph's prompts, after the description in arXiv 2409.07431 (section 2.2 and appendix), in our own words.

A call about ``Ora Venn`` and ``salt`` reads: the system prompt, then ``"The Salt Guild", …`` and the whole document,
then ``Write the analysis of "The Salt Guild" for these entities: - Ora Venn - salt``. Only those last lines differ
between the calls about one document, so its prefix is computed once.
"""

EXTRACT_SYSTEM = """\
You are a careful analyst of texts. You are given a document. Read it and give two things: a concise summary of the \
whole document, and an exhaustive list of the entities that it speaks of: people, places, organisations, objects, \
events and concepts. Name each entity once, by its fullest name, written as in the document."""

EXTRACT_PROMPT = """\
Summarise {title} in one paragraph that names it, and list the entities it speaks of, the most important first. Answer \
with a JSON object of this form and nothing else:
{"summary": "...", "entities": ["...", "..."]}"""

RELATE_SYSTEM = """\
You are a careful analyst of texts. You are given a document and the names of some entities in it. Write an analysis \
in these parts:
1. For each entity in turn, retell the document from the point of view of that entity: everything the document says \
that bears on it, in your own words.
2. Then discuss how the entities interact and relate to one another within the document, step by step, and what \
follows from it.
Give each part a header of the form: Discussion of <title> in relation to <entity>; and for the last part: \
Discussion of how <entities> interact in <title>. Refer to the document by its title and author whenever you state \
something from it, so that the analysis can be understood by a reader who does not have the document. Use the full \
names of the entities. Stay faithful to the document: state nothing that it does not support."""

RELATE_PROMPT = """\
Write the analysis of {title} for these entities:
{entities}"""

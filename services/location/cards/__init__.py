"""Model cards as documentation: polished Markdown, pages, and trees that TechDocs builds."""

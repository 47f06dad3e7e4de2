{ "Universe": {} }

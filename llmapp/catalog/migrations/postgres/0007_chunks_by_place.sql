DROP INDEX chunks_by_document;
CREATE INDEX chunks_by_place ON chunks (document, start_char);   -- those of a document, and those around one of them

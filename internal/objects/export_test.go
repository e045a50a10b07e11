package objects

// HoldInMemory sets how many entries a purge holds in memory, and how many a page of a
// listing has.
func (s *S3) HoldInMemory(entries int, page int32) { s.keeps, s.page = entries, &page }

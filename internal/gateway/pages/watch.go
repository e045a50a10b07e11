package pages

import (
	"net/http"
	"time"
)

// confirmation is a dialog for what can't be taken back. Kept is its text for a
// cancel that keeps a draft.
type confirmation struct{ Command, Question, Text, Kept string }

func confirmations() []confirmation {
	return []confirmation{
		{"delete", "Delete this video?", "Nobody will be able to watch it, and it will be erased from every server. This can't be undone.", ""},
		{
			"cancel", "Cancel this video?", "It will not be published, and what was uploaded will be erased. Your own file stays where it is.",
			"It will not be published for now. What was uploaded is kept as a draft, which you can take up again or throw away.",
		},
	}
}

// watch serves the page of one video by a template.
func (p *Pages) watch(name string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		shown, err := p.videos.Show(r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		v := shown.Video
		page := view{Title: titleOf(v.Title), Video: v, Wide: v.Media != nil && v.Media.Width > v.Media.Height, Confirmations: confirmations()}
		if v.PublishedAt != nil {
			page.Date = v.PublishedAt.Format(time.DateOnly)
		}
		return p.render(w, r, name, http.StatusOK, page)
	}
}

func titleOf(title string) string {
	if title == "" {
		return "Untitled"
	}
	return title
}

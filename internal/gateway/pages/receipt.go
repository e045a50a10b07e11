package pages

import (
	"net/http"

	"github.com/reelflow/reelflow/video"
)

// Receipt shows the receipt of an erasure.
func (p *Pages) Receipt(w http.ResponseWriter, r *http.Request, receipt video.Receipt) error {
	return p.render(w, r, "receipt.html", http.StatusOK, view{Title: "Receipt of an erasure", Receipt: receipt})
}

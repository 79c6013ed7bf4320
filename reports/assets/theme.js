// Before the first paint, so that a dark page does not flash white.
(function () {
  "use strict";
  try {
    var theme = localStorage.getItem("retour-theme");
    if (theme) document.documentElement.dataset.theme = theme;
  } catch (error) {
    // storage may be forbidden: the system's choice holds
  }
})();

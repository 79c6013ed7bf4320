// Marketplace: how much was sold and comes back, where, and what is noteworthy.
RETOUR.page("marketplace", ["w", "m", "s", "c"], function (content, data) {
  "use strict";
  var R = RETOUR, h = R.h;
  var cube = R.cube(data);
  var w = R.window();
  R.salesFigures(content, data, cube);
  R.dailyRate(content, data, cube, R.names("c") ? 8 : 12);

  // by category, with the interval of each
  var chosen = R.chosen("c");
  var bars = R.members("c").map(function (member) {
    var row = R.rate(data, { c: member.key });
    return row && row.lines > 0 ? Object.assign({ label: member.label, value: member.value,
      isChosen: chosen && chosen.key === member.key }, row) : null;
  }).filter(Boolean).filter(function (row) { return row.projected_rate !== null; });
  bars.sort(function (a, b) { return b.projected_rate - a.projected_rate; });
  var overall = R.rate(data, { c: 0 });
  R.card(content, {
    title: "Return rate by category", metric: "projected_return_rate", span: R.names("c") ? 4 : 12,
    height: Math.max(220, 60 + 30 * bars.length), sql: ["rates"], sub: "projected; sold in the last " + w + " days",
    empty: !R.names("c") ? R.why("category_performance") : bars.length ? null
      : cube.total(0, w).lines ? R.why("return_rates") : "No lines in this selection.",
    summary: bars.length ? "Return rate by category: " + bars.slice(0, 8).map(function (row) {
      return row.label + " " + R.pct(row.projected_rate); }).join(", ") + "." : null,
    note: bars.length ? "Lines: " + R.limit("interval_confidence_percent") + " % interval."
      + (bars.some(function (row) { return R.isSmall(row.effective_exposure); })
        ? " Grey: too few, fewer than " + R.limit("report_small_lines") + " lines' worth of returns could have come." : "") : null,
    table: { rows: bars, columns: [
      { key: "label", label: "Category" },
      { key: "lines", label: "Lines", number: true, format: R.int },
      { key: "returned_lines", label: "Returned", number: true, format: R.int },
      { key: "effective_exposure", label: "Effective exposure", number: true, format: R.int },
      { key: "projected_rate", label: "Projected rate", number: true, format: R.pct },
      { key: "projected_lo", label: "from", number: true, format: R.pct },
      { key: "projected_hi", label: "to", number: true, format: R.pct },
      { key: "prior_projected_rate", label: "Window before", number: true, format: R.pct }] },
    chart: function (element) {
      R.plot(element, function () {
        return [{ type: "bar", orientation: "h", y: bars.map(function (row) {
          return R.label(row.label, 18) + (R.isSmall(row.effective_exposure)
            ? " (n=" + R.int(row.lines) + ")" : ""); }),
        x: bars.map(function (row) { return 100 * row.projected_rate; }),
        marker: { color: bars.map(function (row) {
          return R.colour(R.isSmall(row.effective_exposure) ? "quiet"
            : chosen && !row.isChosen ? "accent-soft" : "accent"); }) },
        error_x: R.interval(bars, "projected_rate", "projected_lo", "projected_hi", 100),
        customdata: bars.map(function (row) { return [R.int(row.lines), R.pct(row.projected_lo), R.pct(row.projected_hi)]; }),
        hovertemplate: "%{x:.1f} %, %{customdata[1]} to %{customdata[2]}<br>%{customdata[0]} lines<extra></extra>" }];
      }, function () {
        return { yaxis: { autorange: "reversed", type: "category" },
          xaxis: { ticksuffix: " %", rangemode: "tozero", nticks: 5 },
          shapes: overall && overall.projected_rate !== null ? [{ type: "line", yref: "paper", y0: 0, y1: 1,
            x0: 100 * overall.projected_rate, x1: 100 * overall.projected_rate,
            line: { color: R.colour("muted"), width: 1.3, dash: "dot" } }] : [] };
      });
    },
  });

  // months, of one member or of all: their interval comes from return_rates
  var filters = ["m", "s", "c"].filter(function (filter) { return R.chosen(filter); });
  var kind = { m: "marketplace", s: "seller", c: "category" };
  var one = filters.length === 1 ? R.chosen(filters[0]) : null;
  var entity = filters.length === 0 ? { entity_type: "all" }
    : one && one.id ? { entity_type: kind[filters[0]], entity_id: one.id } : null;
  var shownMonths = entity ? data.months.where(entity) : months();
  R.monthlyRate(content, shownMonths, {
    span: 5, height: 250, sub: entity ? one ? R.name(one.label, 40) : "hatched: still to come"
      : R.selection() + "; with more than one filter "
        + (shownMonths.length ? "only since " + R.month(shownMonths[0].month) + " and " : "") + "without an interval", sql: entity ? ["months"] : ["sales", "rates"] },
  entity || cube.total(0, cube.days).lines ? null : "No lines in this selection.");

  // the whole months that the daily sums hold
  function months() {
    var rows = [];
    var asOf = new Date(R.source.as_of_date + "T00:00:00Z");
    for (var back = 0; ; back++) {
      var first = new Date(Date.UTC(asOf.getUTCFullYear(), asOf.getUTCMonth() - back, 1));
      var end = new Date(Date.UTC(asOf.getUTCFullYear(), asOf.getUTCMonth() - back + 1, 1));
      var oldest = Math.round((asOf - first) / 864e5);
      if (oldest >= cube.days) return rows;
      var sum = cube.total(Math.max(0, Math.round((asOf - end) / 864e5) + 1), oldest + 1);
      rows.unshift({ month: first.toISOString().slice(0, 10), lines: sum.lines, returned_lines: sum.returned_lines,
        observed_rate: sum.comparable_lines > 0 ? sum.returned_lines / sum.comparable_lines : null,
        projected_rate: sum.rate, projected_lo: null, projected_hi: null, maturity: sum.maturity });
    }
  }

  // health of marketplaces, with the return rate that the page shows of each when it is chosen
  var keys = {};
  R.members("m").forEach(function (member) { if (member.id) keys[member.id] = member.key; });
  var health = data.health.where({ window_days: w }).map(function (row) {
    var rate = keys[row.marketplace] && R.rate(data, { m: keys[row.marketplace], s: 0, c: 0 });
    return Object.assign({}, row, { projected_rate: rate ? rate.projected_rate : null });
  });
  var parts = [["return_rate_score", "Rate"], ["trend_score", "Trend"],
    ["seller_risk_score", "Sellers"], ["delivery_score", "Delivery"],
    ["cancellations_score", "Cancelled"], ["high_risk_orders_score", "Risky orders"]];
  R.card(content, {
    title: "Health of the marketplaces", sub: "0 to 100, last " + w + " days", span: 7, sql: ["health", "rates"],
    empty: health.length ? null : R.why("marketplace_health"),
    table: { rows: health, columns: ["projected_rate"].concat(data.health.names).map(function (name) {
      return { key: name, label: name.replace(/_/g, " ") }; }) },
    body: function (card) {
      card.appendChild(R.table([
        { key: "marketplace", label: "Marketplace", cell: function (row) {
          return h("a", { href: R.address({ m: R.valueOf(row.marketplace) }) }, R.name(row.marketplace, 40)); } },
        { key: "health_score", label: "Score", number: true, cell: function (row) {
          return row.health_score === null ? h("span", { title: row.insufficient_reason }, "–") : h("span", {},
            h("span", { class: "meter", style: "--share:" + row.health_score + "%" }), h("b", {}, R.num(row.health_score, 0))); } },
        { key: "projected_rate", label: "Return rate, projected", number: true, format: R.pct }].concat(parts.map(function (part) {
        return { key: part[0], label: part[1], number: true, format: function (v) { return R.num(v, 0); } };
      })), health, { caption: "Health of the marketplaces" }));
    },
    note: "Each part is 0 (bad) to 100 (good); weights and limits are assumptions of the project, listed in its policy of health parts."
      + health.filter(function (row) { return row.insufficient_reason; }).map(function (row) {
        return " " + R.cut(row.marketplace, 40) + ": " + R.plain(row.insufficient_reason).toLowerCase() + "."; }).join(""),
  });

  var sold = R.soldBy(data);
  R.alertList(content, R.alertsChosen(data), { span: 12, also: !sold ? "" : R.chosen("s")
    ? "Only of what is chosen above and of the whole source." : "Only of what is chosen above; products by their category alone." });

  // sellers that bring back more than their goods explain: of the year, as everywhere
  var sellers = data.excess_sellers.list().filter(function (row) { return !sold || sold[row.seller_id]; });
  R.card(content, {
    title: "Sellers with the most excess returns", sql: ["excess_sellers"],
    sub: (sold ? "of those that sold " + R.selection() + " in the last " + w + " days; " : "")
      + "against the same goods and customers of others, last 365 days",
    empty: sellers.length ? null : data.excess_sellers.rows ? "No seller with excess returns sold " + R.selection()
      + " in the last " + w + " days." : R.why("seller_risk"),
    note: sellers.length ? "Came back: of the lines sold in the last 365 days, so far. Times as many as expected: held towards others, the less was sold the more; behind it the interval. Money in "
      + R.currency(data) + "." : null,
    table: { rows: sellers, columns: sellerColumns(true) },
    body: function (card) {
      card.appendChild(R.table(sellerColumns(false), sellers, { caption: "Sellers with the most excess returns",
        limit: 10, sortable: true, rowClass: function (row) {
          return row.risk_tier === "insufficient data" ? "small" : null; } }));
    },
  });
  function sellerColumns(plain) {
    return [
      { key: "seller_id", label: "Seller", cell: plain ? null : function (row) {
        return R.sellerLink(row.seller_id, row.seller_name); } },
      { key: "lines", label: "Lines", number: true, format: R.int },
      { key: "observed_rate", label: "Came back", number: true, format: R.pct },
      { key: "excess_returns", label: "Excess returns", number: true, format: function (v) { return R.num(v, 1); } },
      { key: "shrunk_ratio", label: "Times as many", number: true, format: function (v, row) {
        return plain ? R.num(v) : R.num(v) + "  (" + R.num(row.lo) + " to " + R.num(row.hi) + ")"; } },
      plain ? { key: "lo", label: "from", number: true, format: R.num } : null,
      plain ? { key: "hi", label: "to", number: true, format: R.num } : null,
      { key: "excess_cost", label: "Excess cost", number: true, format: function (v, row) {
        return plain ? R.money(v, row.currency) : R.money(v); } },
      { key: "risk_tier", label: "Tier", cell: plain ? null : function (row) { return R.tier(row.risk_tier); } }].filter(Boolean);
  }
});

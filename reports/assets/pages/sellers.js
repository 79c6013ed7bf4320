// Sellers: who brings back more than their goods explain, and everything about one of them.
RETOUR.page("sellers", ["w", "m", "s", "c"], function (content, data) {
  "use strict";
  var R = RETOUR, h = R.h;
  var cube = R.cube(data);
  var seller = R.chosen("s");

  if (!R.names("s")) {
    R.card(content, { title: "No sellers", sql: ["seller_risk"],
      empty: "There is nothing to say about sellers here: " + R.why("sellers")
        + " The page Marketplace shows everything else." });
    return;
  }
  if (seller && seller.id) one(); else all();

  function all() {
    var everyone = data.seller_risk.list();
    var isPart = Boolean(R.chosen("m") || R.chosen("c"));
    // who sold what the filters let through, with its rate of the window, as on the page of the seller
    var keys = {};
    R.members("s").forEach(function (member) { if (member.id) keys[member.id] = member.key; });
    var rows = everyone.map(function (row) {
      var rate = R.rate(data, { s: keys[row.seller_id] });
      return Object.assign({}, row, { projected_rate: rate ? rate.projected_rate : null,
        window_lines: rate ? rate.lines : 0 });
    });
    var sold = rows.filter(function (row) { return row.window_lines > 0; });
    if (isPart) rows = sold;
    var why = everyone.length ? "No listed seller sold " + R.selection() + " in the last " + R.window() + " days." : R.why("seller_risk");
    var lines = sold.reduce(function (sum, row) { return sum + row.window_lines; }, 0);
    function count(tier) { return rows.filter(function (row) { return row.risk_tier === tier; }).length; }
    var excess = rows.reduce(function (sum, row) {
      return sum + (row.risk_tier === "high" || row.risk_tier === "elevated" ? row.excess_cost || 0 : 0); }, 0);
    R.figures(content, [
      { label: "Sellers", value: R.int(rows.length), key: "sellers", raw: rows.length,
        note: isPart ? "sold " + R.selection() + " in the last " + R.window() + " days, of " + R.int(everyone.length)
          : "sold in the last 365 days; " + R.int(sold.length) + " of them in the last " + R.window() },
      { label: "Lines sold", value: R.int(lines), key: "window_lines", raw: lines,
        note: "in the last " + R.window() + " days" + (isPart ? ", " + R.selection() : "") },
      { label: "High risk", value: R.int(count("high")), key: "high", raw: count("high"),
        help: "Surely and clearly more returns than others would have had, in the last 365 days. Marketplace and Category"
          + " choose which sellers are counted; the risk of each is always that of all it sold." },
      { label: "Elevated", value: R.int(count("elevated")), key: "elevated", raw: count("elevated") },
      { label: "Not enough data", value: R.int(count("insufficient data")), key: "insufficient",
        raw: count("insufficient data"), help: "Too few returns are to be expected to judge them." },
      { label: "Excess cost of the high and elevated", value: R.money(excess, rows.length ? rows[0].currency : ""),
        key: "excess", raw: excess, note: "last 365 days, all they sold",
        help: "What the returns beyond those of others cost beside the refunds." },
    ]);
    var top = rows.filter(function (row) { return row.lo !== null; }).slice(0, 20);
    R.card(content, {
      title: "Observed against expected returns", span: 5, sql: ["seller_risk"],
      sub: "always the last 365 days, all they sold; surest excess first; 1 is what others have with the same goods and customers",
      height: 80 + 26 * top.length, empty: top.length ? null : rows.length ? R.why("seller_risk") : why,
      summary: top.length ? "Sellers by the lower end of observed over expected returns. First: "
        + top.slice(0, 3).map(function (row) {
          return row.seller_id + " " + R.num(row.shrunk_ratio) + " times, at least " + R.num(row.lo); }).join("; ")
        + "." : null,
      note: "Point: the seller's ratio, held towards others by how much it sold. Line: its 95 % interval.",
      table: { rows: rows, columns: columns(true) },
      chart: function (element) {
        R.plot(element, function () {
          return [{ type: "scatter", mode: "markers", y: top.map(function (row) {
            return R.label(row.seller_name || row.seller_id, 20); }),
          x: top.map(function (row) { return row.shrunk_ratio; }),
          error_x: Object.assign(R.interval(top, "shrunk_ratio", "lo", "hi"), { width: 0, thickness: 2, color: R.colour("muted") }),
          marker: { size: 9, color: top.map(function (row) {
            return R.colour(row.risk_tier === "high" ? "bad" : row.risk_tier === "elevated" ? "second"
              : row.risk_tier === "normal" ? "accent" : "quiet"); }),
          symbol: top.map(function (row) { return row.risk_tier === "high" ? "diamond"
            : row.risk_tier === "elevated" ? "square" : "circle"; }) },
          customdata: top.map(function (row) { return [R.num(row.lo), R.num(row.hi), R.int(row.lines), row.risk_tier]; }),
          hovertemplate: "%{y}: %{x:.2f} (%{customdata[0]} to %{customdata[1]})<br>%{customdata[2]} lines, "
            + "%{customdata[3]}<extra></extra>" }];
        }, function () {
          return { yaxis: { autorange: "reversed", type: "category", showgrid: true },
            xaxis: { title: { text: "times the expected returns" }, nticks: 6 },
            shapes: [{ type: "line", yref: "paper", y0: 0, y1: 1, x0: 1, x1: 1,
              line: { color: R.colour("text"), width: 1 } }] };
        });
      },
    });
    R.card(content, { title: "All sellers", sub: (isPart ? "that sold " + R.selection() + "; " : "") + "risk always of the last 365 days; press a name for its history", span: 7,
      sql: ["seller_risk", "rates"],
      note: "Came back and expected: of the lines sold in the last 365 days, so far. Times as many: held towards what others have, the less was"
        + " sold the more, so it is not their quotient. Projected: the return rate of the lines sold in the last " + R.window() + " days"
        + (R.selection() === "everything" ? "" : " (" + R.selection() + ")") + ", as on the page of the seller; grey: fewer than "
        + R.limit("report_small_lines") + " lines. Money in " + R.currency(data) + ".", empty: rows.length ? null : why,
      table: { rows: rows, columns: columns(true) },
      body: function (card) {
        card.appendChild(R.table(columns(false), rows, { caption: "All sellers", sortable: true, limit: 18,
          rowClass: function (row) { return row.risk_tier === "insufficient data" ? "small" : null; } }));
      } });
    R.alertList(content, R.alertsChosen(data).filter(function (row) { return row.entity_type === "seller"; }),
      { span: 12, title: "Alerts about sellers", also: isPart ? "Only sellers that sold " + R.selection() + " in the last "
        + R.window() + " days; the alerts are of all they sold." : "" });
  }

  function columns(plain) {
    return [
      { key: "seller_id", label: "Seller", cell: plain ? null : function (row) {
        return R.sellerLink(row.seller_id, row.seller_name); } },
      { key: "risk_tier", label: "Tier", cell: plain ? null : function (row) { return R.tier(row.risk_tier); } },
      { key: "lines", label: "Lines", number: true, format: R.int },
      plain ? { key: "observed", label: "Returned so far", number: true, format: R.int } : null,
      { key: "observed_rate", label: "Came back", number: true, format: R.pct,
        help: "Lines of the last 365 days that have come back so far, of all of them." },
      { key: "expected_rate", label: "Expected", number: true, format: R.pct,
        help: "What would have come back by now if others had sold the same goods to the same customers." },
      { key: "shrunk_ratio", label: "Times as many", number: true, format: R.num,
        help: "Came back over expected, held towards what others have: the less a seller sold, the more." },
      plain ? { key: "lo", label: "from", number: true, format: R.num } : null,
      plain ? { key: "hi", label: "to", number: true, format: R.num } : null,
      plain ? { key: "q_value", label: "q", number: true } : null,
      { key: "excess_cost", label: "Excess cost", number: true, format: function (v, row) {
        return plain ? R.money(v, row.currency) : R.money(v); } },
      { key: "projected_rate", label: "Projected, " + R.window() + " d", number: true,
        help: "Return rate of the lines sold in the window and under the filters, once all returns have come.", cell: plain ? null : function (row) {
        return h("span", { class: R.isSmall(row.window_lines) ? "few" : null }, R.pct(row.projected_rate)); } }].filter(Boolean);
  }

  function one() {
    var risk = data.seller_risk.where({ seller_id: seller.id });
    var factors = data.seller_factors.where({ seller_id: seller.id });
    var year = risk[0];
    R.card(content, { title: R.name(seller.name || seller.id, 120), sub: R.name(seller.id, 60),
      sql: ["seller_risk"], empty: year ? null : R.why("seller_risk"),
      table: { rows: risk, columns: columns(true).filter(function (column) { return column.key !== "projected_rate"; })
        .concat([{ key: "window_days", label: "Days", number: true }]) },
      note: "Risk, its factors and the months are always of all that the seller sold, the risk of the last 365 days, so that chance"
        + " says less. The figures, the days of sale and the newest lines obey the window and the filters ("
        + R.selection() + ", last " + R.window() + " days).",
      body: function (card) {
        card.appendChild(h("p", {}, R.tier(year.risk_tier), " ", sentence(year), " ",
          h("a", { href: R.address({ s: null }) }, "Back to all sellers")));
      } });
    R.salesFigures(content, data, cube);
    R.dailyRate(content, data, cube, 6);
    R.monthlyRate(content, data.months.where({ entity_type: "seller", entity_id: seller.id }),
      { sub: "all it sold; hatched: still to come (projected)" });

    var own = data.seller_metrics.where({ entity_type: "seller", entity_id: seller.id });
    R.card(content, { title: "Why: factors of its risk", span: own.length ? 7 : 12, sql: ["seller_factors"],
      sub: factors.length ? R.num(factors[0].risk_score, 0) + " of 100 points; last 365 days, all it sold" : null,
      empty: factors.length ? null : R.why("seller_risk_factors"),
      note: year && year.observed_rate !== null ? "Return rate: held towards others like the times as many above, so it is not the "
        + R.pct(year.observed_rate) + " that came back." : null,
      table: { rows: factors, columns: factorColumns(true) },
      body: function (card) {
        card.appendChild(R.table(factorColumns(false), factors.slice().sort(function (a, b) {
          return b.points - a.points || b.weight - a.weight; }), { caption: "Factors" }));
      } });
    var names = { accuracy: "Accuracy", precision: "Precision", recall: "Recall", f1: "F1", roc_auc: "ROC-AUC",
      pr_auc: "PR-AUC", brier: "Brier score", log_loss: "Log loss", calibration_error: "Calibration error",
      base_rate: "Share returned" };
    var metrics = own.map(function (row) {
      var whole = data.seller_metrics.where({ entity_type: "all", metric: row.metric })[0];
      return Object.assign({}, row, { name: names[row.metric] || row.metric, all: whole ? whole.value : null });
    });
    R.card(content, { title: "The model on this seller", span: own.length ? 5 : 12, sql: ["seller_metrics"],
      sub: metrics.length ? R.int(Math.max.apply(null, metrics.map(function (r) { return r.n; }))) + " tested lines, whenever sold" : null,
      empty: metrics.length ? null : data.seller_metrics.where({ entity_type: "seller" }).length
        ? "The model is judged one by one on the " + R.limit("return_slice_members") + " sellers with the most tested lines, if they have"
          + " at least " + R.limit("return_slice_min_lines") + ". This seller is not one of them; what was tested of it counts in"
          + " the figures of all, on the page Model and drift."
        : "The model was judged on no seller. " + R.plain((R.coverage("model_metrics") || {}).reason),
      table: { rows: metrics, columns: metricColumns() },
      body: function (card) { card.appendChild(R.table(metricColumns(), metrics, { caption: "Model metrics" })); } });

    var newest = data.seller_orders.where({ seller_key: seller.key });
    var since = R.dayBefore(R.source.as_of_date, R.window() - 1);
    var orders = newest.filter(function (row) {
      return row.ordered_date >= since && isChosen("m", row.marketplace) && isChosen("c", row.category);
    });
    R.card(content, { title: "Newest order lines", sub: R.plural(orders.length, "line") + " of the last " + R.window() + " days"
      + (R.chosen("m") || R.chosen("c") ? ", " + R.selection() : "") + ", among the newest "
      + R.int(newest.length) + " it sold", sql: ["seller_orders"],
      empty: orders.length ? null : newest.length ? "None of its newest " + R.plural(newest.length, "order line")
        + " is of this window and these filters." : "No order line in the last half year.",
      table: { rows: orders, columns: orderColumns() },
      body: function (card) {
        card.appendChild(R.table(orderColumns(), orders, { caption: "Newest order lines", limit: 10, sortable: true }));
      } });
    var alerts = data.alerts.where({ entity_id: seller.id, entity_type: "seller" });
    // its figures stand above, to the last day: those of the alert, of whole weeks, would only seem to contradict them
    if (alerts.length) R.alertList(content, alerts, { span: 12, title: "Its alerts" }, true);
  }
  function isChosen(filter, name) {
    var member = R.chosen(filter);
    return !member || (member.id ? member.id === name : member.key === -1 ? !name
      : !R.members(filter).some(function (one) { return one.id === name; }) && Boolean(name));
  }

  function sentence(row) {
    if (row.risk_tier === "insufficient data") {
      return "Not enough data to judge: " + R.plain(row.insufficient_reason) + ".";
    }
    return R.int(row.observed) + " of " + R.int(row.compared_lines) + " lines of the last " + row.window_days
      + " days have come back so far (" + R.pct(row.observed_rate) + "); with the same goods and customers others would have "
      + R.num(row.expected, 0) + " (" + R.pct(row.expected_rate) + "). Held towards others by how little it sold, that is "
      + R.num(row.shrunk_ratio) + " times as many; chance allowed for, at least " + R.num(row.lo)
      + ". What is beyond others costs " + R.money(row.excess_cost, row.currency) + " beside the refunds.";
  }
  function factorColumns(plain) {
    return [
      { key: "factor", label: "Factor", format: function (v, row) { return plain ? v : row.sentence.split(": ")[0]; } },
      { key: "points", label: "Points", number: true, cell: plain ? null : function (row) {
        return h("span", {}, row.weight ? h("span", { class: "meter",
          style: "--share:" + 100 * row.points / row.weight + "%" }) : null,
        row.weight ? R.num(row.points, 0) + " of " + row.weight : "none"); } },
      plain ? { key: "factor_value", label: "Value", number: true } : null,
      plain ? { key: "peer_value", label: "Others", number: true } : null,
      { key: "sentence", label: "In words", long: true, format: function (v) {
        return plain ? v : v.slice(v.indexOf(": ") + 2); } }].filter(Boolean);
  }
  function metricColumns() {
    return [
      { key: "name", label: "Metric" },
      { key: "value", label: "Here", number: true, format: function (v) { return R.num(v, 3); } },
      { key: "lo", label: "from", number: true, format: function (v) { return R.num(v, 2); } },
      { key: "hi", label: "to", number: true, format: function (v) { return R.num(v, 2); } },
      { key: "all", label: "All", number: true, format: function (v) { return R.num(v, 3); } }];
  }
  function orderColumns() {
    return [
      { key: "ordered_date", label: "Ordered" },
      { key: "order_line_id", label: "Line", format: function (v) { return R.cut(v, 40); } },
      { key: "product_name", label: "Product", format: function (v, row) { return R.cut(v || row.product_id, 60); } },
      { key: "marketplace", label: "Marketplace" },
      { key: "category", label: "Category" },
      { key: "quantity", label: "Units", number: true, format: R.int },
      { key: "net_amount", label: "Sold for", number: true, format: function (v) { return R.num(v, 2); } },
      { key: "return_class", label: "State" },
      { key: "refund_amount", label: "Refunded", number: true, format: function (v) { return v ? R.num(v, 2) : "–"; } },
      { key: "days_to_return", label: "After days", number: true, format: R.int },
      { key: "return_probability", label: "Predicted", number: true, format: function (v) { return R.pct(v, 0); } },
      { key: "recommended_action", label: "Advice", format: function (v) { return R.words(v); } }];
  }
});

// Model and drift: can the scores be trusted this week, what do they rest on, have the data moved.
RETOUR.page("model", [], function (content, data) {
  "use strict";
  var R = RETOUR, h = R.h;
  var cards = data.cards.list();
  var champion = cards.filter(function (r) { return r.task === "return" && r.is_champion; })[0];
  var metrics = data.model_metrics.where({ task: "return" });
  function metric(model, name) {
    return metrics.filter(function (r) { return r.model === model && r.metric === name; })[0] || {};
  }
  var confidence = R.limit("interval_confidence_percent");

  // who scored the orders of the week that is judged
  var decisions = data.promotions.list();
  var health = data.model_health.where({ is_current: true })[0];
  var used = health && decisions.filter(function (r) { return r.in_use_version && r.decided_on < health.week_start; })[0];
  if (champion) {
    var auc = metric(champion.model, "roc_auc"), precision = metric(champion.model, "precision");
    var recall = metric(champion.model, "recall"), off = metric(champion.model, "calibration_error");
    R.figures(content, [
      { label: "Champion", value: R.words(champion.model), key: "champion", raw: champion.model,
        help: "The best model there is now.", note: "trained " + R.day(champion.trained_on) },
      used ? { label: "In use that week", value: R.words(used.in_use_version.split("@")[0]), key: "in_use", raw: used.in_use_version,
        help: "The model that scored the orders of the week that is judged below, the last whole one.",
        note: used.in_use_version === champion.model_version ? "the champion"
          : "trained " + R.day(used.in_use_version.split("@")[1]) + (decisions[0].in_use_version === champion.model_version
            ? "; the champion took over on " + R.day(decisions[0].decided_on) : "") } : null,
      { label: "Ranks rightly", help: "ROC-AUC: of a line that came back and one that did not, how often the first "
        + "got the higher probability; 50 % is chance. On later lines that the model had not seen.",
      value: R.pct(auc.value), key: "roc_auc", raw: auc.value, note: R.pct(auc.lo) + " to " + R.pct(auc.hi) },
      { label: "Off by", value: known(off.value) ? R.num(100 * off.value, 1) + "\u00a0points" : "–",
        key: "calibration_error", raw: off.value, help: "Of the probabilities: mean difference between what was said and what came, over ten bins." },
      { label: "Precision", value: R.pct(precision.value), key: "precision", raw: precision.value,
        help: "Of the lines that were said to come back, how many did.", note: R.pct(precision.lo) + " to " + R.pct(precision.hi) },
      { label: "Recall", value: R.pct(recall.value), key: "recall", raw: recall.value,
        help: "Of the lines that came back, how many were said to.", note: R.pct(recall.lo) + " to " + R.pct(recall.hi) },
      { label: "Leak checks", value: R.int(champion.leak_checks_passed) + " of " + R.int(champion.leak_checks),
        key: "leak_checks", raw: champion.leak_checks_passed, note: "of this model passed" },
    ].filter(Boolean));
  }
  function known(v) { return v !== null && v !== undefined; }

  // can it be trusted this week
  var batches = data.drift_batches.list();
  var weeks = batches.filter(function (r) { return r.batch_grain === "week" && r.severity !== "no reference"; });
  var newest = weeks[weeks.length - 1];
  var lines = [];
  if (health) {
    lines.push([health.status === "trust" ? "good" : health.status === "do not trust" ? "bad" : "watch",
      "This week: " + health.status, health.sentence]);
  }
  if (champion) lines.push([champion.has_signal ? "good" : "bad", "Tested on later orders", champion.sentence]);
  if (!champion) lines.push(["watch", "No model", R.why("model_cards")]);
  if (newest) {
    lines.push([newest.severity === "critical" ? "bad" : newest.severity === "none" ? "good" : "watch",
      newest.severity === "none" ? "No drift in the data" : "Data: " + newest.severity + " drift", R.plain(newest.sentence) + "." + (newest.recommendation ? " " + R.plain(newest.recommendation) + "." : "")]);
  }
  var promotion = decisions[0];
  if (promotion) lines.push(["info", "Model of " + R.day(promotion.decided_on) + ": " + promotion.decision,
    promotion.in_use_version ? "From then on " + promotion.in_use_version + " scores new orders; why stands below, at Which model is in use."
      : promotion.sentence]);
  R.card(content, { title: "Can the model be trusted this week?", sql: ["model_health", "cards"],
    table: { rows: data.model_health.list().slice().reverse(), columns: [{ key: "week_start", label: "Week of" }, { key: "status", label: "Status" },
      { key: "lines", label: "Lines", number: true, format: R.int },
      { key: "roc_auc_estimated", label: "ROC-AUC, estimated", number: true, format: three },
      { key: "roc_auc_realised", label: "realised", number: true, format: three },
      { key: "observed_to_expected", label: "Came / said", number: true, format: R.num },
      { key: "label_finding", label: "Returns" }, { key: "drift_severity", label: "Drift" },
      { key: "sentence", label: "In words", long: true }] },
    body: function (card) {
      card.appendChild(h("ul", { class: "statements" }, lines.map(function (line) {
        return h("li", { class: "statement " + line[0] }, h("p", { class: "head" }, line[1]),
          h("p", { class: "body" }, R.cut(line[2] || "", 600)));
      })));
    } });

  // weeks: estimated without outcomes, then realised
  var estimates = data.performance.where({ metric: "roc_auc" });
  R.card(content, { title: "Ranking by week", sub: "estimated from the probabilities, and realised once returns were in",
    span: 6, height: 290, sql: ["performance"], empty: estimates.length ? null : missing("performance", "model_performance"),
    summary: estimates.length ? "ROC-AUC by week: latest estimate " + R.num(estimates[estimates.length - 1].estimated, 3) + "." : null,
    note: "Band: " + confidence + " % interval of what will be realised if the probabilities are right. Points: realised.",
    table: { rows: estimates, columns: [{ key: "period_start", label: "Week of" }, { key: "lines", label: "Lines", number: true, format: R.int },
      { key: "estimated", label: "Estimated", number: true, format: three }, { key: "estimated_lo", label: "from", number: true, format: three },
      { key: "estimated_hi", label: "to", number: true, format: three }, { key: "realised", label: "Realised", number: true, format: three },
      { key: "is_as_estimated", label: "As estimated" }] },
    chart: function (element) {
      var mature = estimates.filter(function (r) { return known(r.realised); });
      R.plot(element, function () {
        var x = estimates.map(function (r) { return r.period_start; });
        return [
          { type: "scatter", mode: "lines", x: x, y: estimates.map(function (r) { return r.estimated_lo; }), line: { width: 0 },
            hoverinfo: "skip", showlegend: false },
          { type: "scatter", mode: "lines", x: x, y: estimates.map(function (r) { return r.estimated_hi; }), line: { width: 0 },
            fill: "tonexty", fillcolor: R.colour("accent-soft"), hoverinfo: "skip", showlegend: false },
          { type: "scatter", mode: "lines", name: "estimated", x: x, y: estimates.map(function (r) { return r.estimated; }),
            line: { color: R.colour("accent"), width: 2 }, hovertemplate: "estimated %{y:.3f}<extra></extra>" },
          { type: "scatter", mode: "markers", name: "realised", x: mature.map(function (r) { return r.period_start; }),
            y: mature.map(function (r) { return r.realised; }),
            marker: { size: 7, symbol: mature.map(function (r) { return r.is_as_estimated ? "circle" : "x"; }),
              color: R.colour("second") }, hovertemplate: "realised %{y:.3f}<extra></extra>" }];
      }, { showlegend: true, hovermode: "x unified", xaxis: { type: "date", tickformat: "%-d %b\n%Y", nticks: 7, showgrid: false, tickangle: 0 },
        yaxis: { nticks: 6 } });
    } });
  function three(v) { return R.num(v, 3); }
  function missing(dataset, mart) { return data[dataset].missing ? "This file has no table marts." + mart + " yet." : R.why(mart); }

  // drift by week
  R.card(content, { title: "Have the data moved?", sub: "drift score by week, 0 to 100", span: 6, height: 290, sql: ["drift_batches"],
    empty: weeks.length ? null : batches.length ? "Not judged: there is no reference to compare with." : missing("drift_batches", "drift_batches"),
    summary: newest ? "Drift score of the week of " + R.day(newest.batch_start) + ": " + R.num(newest.drift_score, 0) + ", "
      + newest.severity + "." : null,
    note: weeks.length ? "Colour and stripes: severity." + (newest.top_feature ? " Largest change of the newest week: "
      + R.words(newest.top_feature) + "." : "") : null,
    table: { rows: batches, columns: [{ key: "batch", label: "Batch" }, { key: "lines", label: "Lines", number: true, format: R.int },
      { key: "drift_score", label: "Score", number: true, format: function (v) { return R.num(v, 0); } },
      { key: "severity", label: "Severity" }, { key: "top_feature", label: "Top feature" },
      { key: "return_rate", label: "Returns over exposure", number: true, format: R.pct },
      { key: "baseline_return_rate", label: "of the reference", number: true, format: R.pct },
      { key: "estimated_cost", label: "Estimated cost", number: true, format: R.money },
      { key: "sentence", label: "In words", long: true }, { key: "recommendation", label: "Do", long: true }] },
    chart: function (element) {
      R.plot(element, function () {
        var colours = { critical: "bad", warning: "second", watch: "watch" };
        var shades = weeks.map(function (r) { return R.colour(colours[r.severity] || "accent"); });
        return [{ type: "bar", x: weeks.map(function (r) { return r.batch_start; }), y: weeks.map(function (r) { return r.drift_score; }),
          marker: { color: shades,
            pattern: { shape: weeks.map(function (r) { return { critical: "x", warning: "/", watch: "." }[r.severity] || ""; }),
              size: 5, solidity: 0.3, bgcolor: shades, fgcolor: R.colour("card") } },
          customdata: weeks.map(function (r) { return [R.text(r.severity), R.words(r.top_feature)]; }),
          hovertemplate: "week of %{x|%-d %B %Y}: %{y:.0f}, %{customdata[0]}<br>%{customdata[1]}<extra></extra>" }];
      }, { xaxis: { type: "date", tickformat: "%-d %b\n%Y", nticks: 7, showgrid: false, tickangle: 0 }, yaxis: { range: [0, 101] } });
    } });
  // came against said, week by week of the sale
  var arrivals = data.label_delay.where({ basis: "arrival" });
  R.card(content, { title: "Do returns arrive when they should?", sub: "returns of a week over those that were due", span: 6, height: 270,
    sql: ["label_delay"], empty: arrivals.length ? null : missing("label_delay", "label_delay"),
    summary: arrivals.length ? "Returns over expected returns by week, newest: "
      + R.num(arrivals[arrivals.length - 1].observed_to_expected) + ", " + arrivals[arrivals.length - 1].finding + "." : null,
    note: arrivals.length ? "Week of " + R.day(arrivals[arrivals.length - 1].week_start) + ": "
      + R.plain(arrivals[arrivals.length - 1].sentence) + "." : null,
    table: { rows: arrivals, columns: [{ key: "week_start", label: "Week of" },
      { key: "observed_returns", label: "Came", number: true, format: R.int },
      { key: "expected_returns", label: "Expected", number: true, format: R.int },
      { key: "observed_to_expected", label: "Ratio", number: true, format: R.num },
      { key: "observed_to_expected_lo", label: "from", number: true, format: R.num },
      { key: "observed_to_expected_hi", label: "to", number: true, format: R.num },
      { key: "observed_to_due", label: "Pace alone", number: true, format: R.num }, { key: "finding", label: "Finding" }] },
    chart: function (element) {
      R.plot(element, function () {
        return [{ type: "scatter", mode: "markers+lines", x: arrivals.map(function (r) { return r.week_start; }),
          y: arrivals.map(function (r) { return r.observed_to_expected; }), line: { color: R.colour("accent"), width: 1.4 },
          marker: { size: 7, color: arrivals.map(function (r) { return R.colour(r.is_alarm ? "bad" : "accent"); }),
            symbol: arrivals.map(function (r) { return r.is_alarm ? "x" : "circle"; }) },
          error_y: Object.assign(R.interval(arrivals, "observed_to_expected", "observed_to_expected_lo", "observed_to_expected_hi"),
            { width: 0, color: R.colour("muted") }),
          customdata: arrivals.map(function (r) { return [R.text(r.finding)]; }),
          hovertemplate: "week of %{x|%-d %B %Y}: %{y:.2f}<br>%{customdata[0]}<extra></extra>" }];
      }, function () {
        return { xaxis: { type: "date", tickformat: "%-d %b\n%Y", nticks: 7, showgrid: false, tickangle: 0 }, yaxis: { nticks: 6 },
          shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: { color: R.colour("text"), width: 1 } }] };
      });
    } });

  // who was in use, and what was decided
  var decided = decisions;
  R.card(content, { title: "Which model is in use", sub: "decided at month-ends", span: 6, sql: ["promotions"],
    empty: decided.length ? null : missing("promotions", "model_promotions"),
    table: { rows: decided, columns: decidedColumns(true) },
    body: function (card) { card.appendChild(R.table(decidedColumns(false), decided, { caption: "Which model is in use", limit: 4 })); } });
  function decidedColumns(plain) {
    return [{ key: "decided_on", label: "On" }, { key: "decision", label: "Decision" },
      plain ? { key: "in_use_version", label: "In use" } : null, plain ? { key: "trigger", label: "Why asked" } : null,
      { key: "sentence", label: "In words", long: true }].filter(Boolean);
  }

  if (newest && data.drift_features.rows) {
    var moved = data.drift_features.list();
    R.card(content, { title: "What moved in the newest week", sql: ["drift_features"], table: { rows: moved, columns: driftColumns() },
      note: "Severity compares each feature with what it did in quiet weeks of its own: return rates of brands and categories count up"
        + " from week to week, so their PSI is large although nothing happened. Moved: the share of lines that would have to be others;"
        + " usual: how much of that quiet weeks had.",
      body: function (card) { card.appendChild(R.table(driftColumns(), moved, { caption: "Features", limit: 8, sortable: true })); } });
  }
  // words have no mean, and no Kolmogorov-Smirnov distance
  function mean(v, r) { return known(r.ks_statistic) ? R.num(v) : "–"; }
  function driftColumns() {
    return [{ key: "feature", label: "Feature", format: R.words },
      { key: "severity", label: "Severity" }, { key: "drift_score", label: "Score", number: true, format: function (v) { return R.num(v, 0); } },
      { key: "moved_share", label: "Moved", number: true, format: R.pct }, { key: "quiet_limit", label: "Usual up to", number: true, format: R.pct },
      { key: "psi", label: "PSI", number: true, format: three }, { key: "ks_statistic", label: "KS", number: true, format: three },
      { key: "baseline_mean", label: "Mean before", number: true, format: mean }, { key: "current_mean", label: "Mean now", number: true, format: mean },
      { key: "q_value", label: "q", number: true, format: three }, { key: "sentence", label: "In words", long: true }];
  }

  // champion against the others
  var models = metrics.filter(function (r) { return r.metric === "roc_auc"; }).sort(function (a, b) { return b.value - a.value; });
  R.card(content, { title: "Champion against the others", sub: "ROC-AUC on later orders", span: 4, height: 80 + 34 * models.length,
    sql: ["model_metrics"], empty: models.length ? null : R.why("model_metrics"),
    summary: models.length ? models.map(function (r) { return R.words(r.model) + " " + R.num(r.value, 3); }).join(", ") + "." : null,
    note: "Diamond: in use. 0.5 is chance.",
    table: { rows: data.model_metrics.list(), columns: [{ key: "task", label: "Task" }, { key: "model", label: "Model" }, { key: "metric", label: "Metric" },
      { key: "value", label: "Value", number: true, format: three }, { key: "lo", label: "from", number: true, format: three },
      { key: "hi", label: "to", number: true, format: three }, { key: "n", label: "n", number: true, format: R.int }] },
    chart: function (element) {
      R.plot(element, function () {
        function mine(r) { return champion && r.model === champion.model; }
        return [{ type: "scatter", mode: "markers", y: models.map(function (r) { return R.label(R.words(r.model), 20); }),
          x: models.map(function (r) { return r.value; }),
          error_x: Object.assign(R.interval(models, "value", "lo", "hi"), { width: 0, thickness: 2, color: R.colour("muted") }),
          marker: { size: 10, symbol: models.map(function (r) { return mine(r) ? "diamond" : "circle"; }),
            color: models.map(function (r) { return R.colour(mine(r) ? "accent" : "quiet"); }) },
          customdata: models.map(function (r) { return [R.num(r.lo, 3), R.num(r.hi, 3)]; }),
          hovertemplate: "%{y}: %{x:.3f} (%{customdata[0]} to %{customdata[1]})<extra></extra>" }];
      }, { yaxis: { autorange: "reversed", type: "category" }, xaxis: { nticks: 5, tickformat: ".2f" } });
    } });

  // calibration
  var bins = data.calibration.list();
  R.card(content, { title: "Said and came", sub: "ten bins of later orders", span: 4, height: 290, sql: ["calibration"],
    empty: bins.length ? null : R.why("model_calibration"),
    summary: bins.length ? "Predicted and observed return rates by bin: " + bins.map(function (r) { return R.pct(r.predicted_rate, 0)
      + " said, " + R.pct(r.observed_rate, 0) + " came"; }).join("; ") + "." : null,
    note: "On the dotted line as many came back as was said.",
    table: { rows: bins, columns: [{ key: "bin", label: "Bin", number: true }, { key: "n", label: "Lines", number: true, format: R.int },
      { key: "predicted_rate", label: "Said", number: true, format: R.pct }, { key: "observed_rate", label: "Came", number: true, format: R.pct },
      { key: "observed_lo", label: "from", number: true, format: R.pct }, { key: "observed_hi", label: "to", number: true, format: R.pct }] },
    chart: function (element) {
      var top = 100 * Math.max.apply(null, bins.map(function (r) { return Math.max(r.predicted_rate, r.observed_hi); }));
      R.plot(element, function () {
        return [{ type: "scatter", mode: "lines", x: [0, top], y: [0, top], line: { color: R.colour("muted"), dash: "dot", width: 1.3 }, hoverinfo: "skip" },
          { type: "scatter", mode: "markers+lines", x: bins.map(function (r) { return R.percent(r.predicted_rate); }),
            y: bins.map(function (r) { return R.percent(r.observed_rate); }), marker: { size: 7, color: R.colour("accent") },
            line: { color: R.colour("accent"), width: 1.5 }, error_y: R.interval(bins, "observed_rate", "observed_lo", "observed_hi", 100),
            hovertemplate: "said %{x:.1f} %, came %{y:.1f} %<extra></extra>" }];
      }, { xaxis: { title: { text: "said" }, ticksuffix: " %", rangemode: "tozero", nticks: 6 },
        yaxis: { title: { text: "came" }, ticksuffix: " %", rangemode: "tozero", nticks: 6 } });
    } });

  // what it would have been worth to act
  var rules = data.decisions.list();
  var thresholds = rules.filter(function (r) { return known(r.threshold_percent); });
  var used = rules.filter(function (r) { return r.rule === "gain"; })[0];
  R.card(content, { title: "What acting is worth", sub: "per 1,000 lines, against never acting", span: 4, height: 290, sql: ["decisions"],
    empty: rules.length ? null : R.why("model_decisions"),
    summary: used ? "The rule in use gains " + R.num(used.gain_over_never_per_thousand, 0) + " per 1,000 lines, "
      + R.num(used.gain_over_never_lo, 0) + " to " + R.num(used.gain_over_never_hi, 0) + "." : null,
    note: used ? "Dotted: the rule in use, which asks of each line what acting gains. The effect of actions is assumed." : null,
    table: { rows: rules, columns: [{ key: "rule", label: "Rule" }, { key: "acted_lines", label: "Acted on", number: true, format: R.int },
      { key: "realised_profit", label: "Profit", number: true, format: R.money },
      { key: "realised_profit_low", label: "At half the effect", number: true, format: R.money },
      { key: "gain_over_never_per_thousand", label: "Per 1,000 lines", number: true, format: R.num },
      { key: "gain_over_never_lo", label: "from", number: true, format: R.num }, { key: "gain_over_never_hi", label: "to", number: true, format: R.num }] },
    chart: function (element) {
      R.plot(element, function () {
        var x = thresholds.map(function (r) { return r.threshold_percent; });
        return [
          { type: "scatter", mode: "lines", x: x, y: thresholds.map(function (r) { return r.gain_over_never_lo; }), line: { width: 0 }, hoverinfo: "skip" },
          { type: "scatter", mode: "lines", x: x, y: thresholds.map(function (r) { return r.gain_over_never_hi; }), line: { width: 0 },
            fill: "tonexty", fillcolor: R.colour("accent-soft"), hoverinfo: "skip" },
          { type: "scatter", mode: "lines", x: x, y: thresholds.map(function (r) { return r.gain_over_never_per_thousand; }),
            line: { color: R.colour("accent"), width: 2.2 }, hovertemplate: "from %{x} %: %{y:.1f}<extra></extra>" }];
      }, function () {
        var all = thresholds.map(function (r) { return r.gain_over_never_hi; }).concat(used ? [used.gain_over_never_per_thousand] : []);
        var top = Math.max.apply(null, all.concat([1]));
        return { xaxis: { title: { text: "act from this probability on" }, ticksuffix: " %", nticks: 6 },
          yaxis: { range: [-0.7 * top, 1.2 * top], nticks: 6 },
          shapes: used ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: used.gain_over_never_per_thousand,
            y1: used.gain_over_never_per_thousand, line: { color: R.colour("second"), dash: "dot", width: 2 } }] : [] };
      });
    } });

  // what the model rests on
  var features = data.importance.list();
  R.card(content, { title: "What the ranking rests on", sub: "what is lost when a feature is shuffled, in points of ROC-AUC", span: 6,
    height: 70 + 25 * features.length, sql: ["importance"], empty: features.length ? null : R.why("model_feature_importance"),
    summary: features.length ? "Most important: " + features.slice(0, 4).map(function (r) { return R.words(r.feature); }).join(", ") + "." : null,
    table: { rows: features, columns: [{ key: "feature", label: "Feature" }, { key: "auc_loss", label: "Lost", number: true, format: three },
      { key: "auc_loss_lo", label: "from", number: true, format: three }, { key: "auc_loss_hi", label: "to", number: true, format: three },
      { key: "auc_alone", label: "Alone", number: true, format: three }, { key: "meaning", label: "Meaning", long: true }] },
    chart: function (element) {
      R.plot(element, function () {
        return [{ type: "bar", orientation: "h", y: features.map(function (r) { return R.label(R.words(r.feature), 30); }),
          x: features.map(function (r) { return 100 * r.auc_loss; }), marker: { color: R.colour("accent") },
          error_x: R.interval(features, "auc_loss", "auc_loss_lo", "auc_loss_hi", 100),
          customdata: features.map(function (r) { return [R.label(r.meaning, 90)]; }),
          hovertemplate: "%{y}: %{x:.2f} points<br>%{customdata[0]}<extra></extra>" }];
      }, { yaxis: { autorange: "reversed", type: "category" }, xaxis: { nticks: 6 } });
    } });

  // where it works
  var slices = {};
  data.slices.list().forEach(function (r) {
    var key = r.entity_type + "/" + r.entity_id;
    slices[key] = slices[key] || { entity_type: r.entity_type, entity_id: r.entity_id, n: 0 };
    slices[key][r.metric] = r.value;
    slices[key].n = Math.max(slices[key].n, r.n || 0);
  });
  var parts = Object.keys(slices).map(function (key) { return slices[key]; });
  R.card(content, { title: "Where it works", sub: "the champion by part", span: 6, sql: ["slices"], empty: parts.length ? null : R.why("model_metrics"),
    table: { rows: parts, columns: sliceColumns() },
    body: function (card) { card.appendChild(R.table(sliceColumns(), parts, { caption: "Where it works", sortable: true, limit: 12 })); } });
  function sliceColumns() {
    return [{ key: "entity_id", label: "Part", format: function (v, r) { return R.cut(v, 40) + " (" + r.entity_type + ")"; } },
      { key: "n", label: "Lines", number: true, format: R.int },
      { key: "base_rate", label: "Came back", number: true, format: R.pct },
      { key: "roc_auc", label: "ROC-AUC", number: true, format: three },
      { key: "precision", label: "Precision", number: true, format: R.pct }, { key: "recall", label: "Recall", number: true, format: R.pct },
      { key: "calibration_error", label: "Off by, points", number: true, format: function (v) { return known(v) ? R.num(100 * v, 1) : "–"; } }];
  }

  var flagged = data.flagged.list();
  R.card(content, { title: "Orders to look at before they ship", sub: R.plural(flagged.length, "order"), sql: ["flagged"],
    empty: flagged.length ? null : (R.coverage("flagged_orders") || {}).status === "empty" ? R.why("flagged_orders") : "No order is waiting that is likely to come back.",
    table: { rows: flagged, columns: flaggedColumns() },
    body: function (card) { card.appendChild(R.table(flaggedColumns(), flagged, { caption: "Orders to look at", limit: 8, sortable: true })); } });
  function flaggedColumns() {
    return [{ key: "order_id", label: "Order", format: function (v) { return R.cut(v, 40); } }, { key: "ordered_date", label: "Ordered" },
      { key: "highest_probability", label: "Highest risk", number: true, format: function (v) { return R.pct(v, 0); } },
      { key: "ordered_amount", label: "Ordered for", number: true, format: R.money },
      { key: "expected_cost", label: "Expected cost", number: true, format: R.money },
      { key: "recommended_action", label: "Do", format: R.words },
      { key: "expected_gain", label: "Gain", number: true, format: function (v) { return R.num(v, 2); } },
      { key: "sentence", label: "In words", long: true }];
  }

  var leaks = data.leaks.list();
  var confusion = data.confusion.list()[0];
  var tasks = [];
  leaks.forEach(function (r) { if (tasks.indexOf(r.task) < 0) tasks.push(r.task); });
  R.card(content, { title: "Leak checks", sub: "does a model know what it cannot know; " + tasks.sort().reverse().map(function (task) {
    var own = leaks.filter(function (r) { return r.task === task; });
    return R.int(own.filter(function (r) { return r.has_passed; }).length) + " of " + R.int(own.length) + " of " + task + " passed"; }).join(", "), span: 8, sql: ["leaks"], empty: leaks.length ? null : R.why("leak_checks"),
    table: { rows: leaks, columns: leakColumns() },
    body: function (card) { card.appendChild(R.table(leakColumns(), leaks, { caption: "Leak checks", limit: 4 })); } });
  function leakColumns() {
    return [{ key: "check_name", label: "Check", format: function (v, r) { return R.words(v) + ", " + r.task; } },
      { key: "subject", label: "Of", format: R.words }, { key: "outcome", label: "Outcome" }, { key: "value", label: "Value", number: true, format: three }, { key: "detail", label: "What it counts", long: true }];
  }
  R.card(content, { title: "Hits and misses", sub: confusion ? "from a probability of " + R.pct(confusion.threshold, 0) + " on" : null, span: 4, sql: ["confusion"],
    empty: confusion ? null : R.why("model_confusion"),
    table: { rows: data.confusion.list(), columns: data.confusion.names.map(function (name) { return { key: name, label: R.words(name), number: true }; }) },
    body: function (card) {
      var rows = [{ said: "Said to come back", came: confusion.true_positives, kept: confusion.false_positives },
        { said: "Said to be kept", came: confusion.false_negatives, kept: confusion.true_negatives }];
      card.appendChild(R.table([{ key: "said", label: "" + R.int(confusion.n) + " later lines" },
        { key: "came", label: "Came back", number: true, format: R.int }, { key: "kept", label: "Were kept", number: true, format: R.int }], rows, { caption: "Hits and misses" }));
      card.appendChild(h("p", { class: "note" }, "A model that never says so is right in " + R.pct((confusion.true_negatives + confusion.false_positives) / confusion.n)
        + " of lines: accuracy says little, what acting is worth says more."));
    } });
});
